"""Make one video, and print where it is and what it cost."""

import veo


def main() -> None:
    with veo.Client() as client:
        video = client.submit("A lion wakes up", output="lion.mp4").result()
        print(video.path, video.charged)


if __name__ == "__main__":
    main()
