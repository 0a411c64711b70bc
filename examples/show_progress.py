"""Show how far a job is, in a loop of your own."""

import veo


def main() -> None:
    with veo.Client() as client:
        job = client.submit("A lion wakes up")
        for status in job.updates():
            percent = "" if status.progress is None else f" {status.progress:.0%}"
            print(f"{status.state}{percent}")
        print(job.result().path.name)


if __name__ == "__main__":
    main()
