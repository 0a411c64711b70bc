"""Use jobs as coroutines: tasks, gather, and updates in an asynchronous loop."""

import asyncio

import veo


async def watch(job: veo.Job) -> None:
    async for status in job.updates():
        print(job.id, status.state)


async def make_videos() -> None:
    async with veo.Client() as client:
        first = client.submit("A lion wakes up")
        second = client.submit("A zebra wakes up")
        watching = asyncio.create_task(watch(first))
        for video in await asyncio.gather(first, second):
            print(video.path.name)
        await watching


def main() -> None:
    asyncio.run(make_videos())


if __name__ == "__main__":
    main()
