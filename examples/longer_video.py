"""Continue a video twice: each step begins where the one before ends."""

import veo


def main() -> None:
    with veo.Client(provider="vertex") as client:
        video = client.submit("A lion wakes up", output="lion.mp4").result()
        steps = client.extend(video.path, "Then it roars", times=2, output="longer.mp4")
        for job in steps:
            print(job.result().path.name)


if __name__ == "__main__":
    main()
