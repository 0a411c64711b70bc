"""Tell errors apart: what to change, what to try again, and what was charged."""

import veo
from veo.errors import InvalidRequestError, SetupError, VeoError


def make_video(client: veo.Client, prompt: str, seconds: int) -> None:
    try:
        video = client.submit(prompt, duration=seconds).result(timeout=600)
    except InvalidRequestError as error:
        for problem in error.problems:
            print(f"change {problem.field}: {problem.message}")
    except SetupError as error:
        print(f"set up first: {error}")
    except VeoError as error:
        print(f"{error}; try again: {error.retryable}; charged: {error.charged}")
    else:
        print(video.path.name)


def main() -> None:
    with veo.Client() as client:
        make_video(client, "A lion wakes up", 8)
        make_video(client, "A lion wakes up", 99)


if __name__ == "__main__":
    main()
