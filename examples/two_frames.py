"""Make a time-lapse between two photographs, whatever their shape."""

from pathlib import Path

import veo

HERE = Path(__file__).parent


def main() -> None:
    with veo.Client() as client:
        job = client.submit(
            "Smooth time-lapse, fixed camera",
            model="muse-video",
            start_frame=HERE / "frame-1.jpg",
            end_frame=HERE / "frame-2.jpg",
            aspect_ratio="landscape",
            duration="5s",
            fit="crop",
            output="time-lapse.mp4",
        )
        print(job.result().path)


if __name__ == "__main__":
    main()
