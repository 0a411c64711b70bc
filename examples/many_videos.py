"""Send several requests at once, and take each video as soon as it is finished."""

import veo
from veo.errors import VeoError

ANIMALS = ("lion", "zebra", "elephant")


def main() -> None:
    with veo.Client() as client:
        jobs = client.submit_all(
            [f"A {animal} wakes up" for animal in ANIMALS],
            outputs=[f"{animal}.mp4" for animal in ANIMALS],
            max_cost=2,
        )
        for job in veo.as_completed(jobs):
            try:
                print(job.result().path.name)
            except VeoError as error:
                print(f"{job.id}: {error}")


if __name__ == "__main__":
    main()
