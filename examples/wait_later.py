"""Stop waiting after a while, and fetch the video with another client later."""

import veo


def main() -> None:
    with veo.Client() as client:
        job = client.submit("A lion wakes up", output="later.mp4")
        try:
            print(job.result(timeout=0.01).path.name)
        except TimeoutError as error:  # the job continues
            print(error)
    with veo.Client() as client:
        for resumed in client.resume():
            print(resumed.result().path.name)


if __name__ == "__main__":
    main()
