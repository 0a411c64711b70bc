"""Run a batch twice: what is made already costs nothing the second time."""

import veo

ITEMS = [
    {"prompt": "A lion wakes up", "output": "lion.mp4"},
    {"prompt": "A zebra wakes up", "output": "zebra.mp4"},
]


def main() -> None:
    with veo.Client() as client:
        for _ in range(2):
            for entry in client.batch(ITEMS, output_dir="clips", max_cost="1.50"):
                print(entry.location, entry.state)


if __name__ == "__main__":
    main()
