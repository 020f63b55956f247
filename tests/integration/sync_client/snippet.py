"""The specification's browser client against a deployment, whichever rooms and replicas it has."""

from tests.browser.specification import paste, visiting
from tests.integration.sync_client.conftest import Clients, eventually


def a_browser_hears_of_a_file(clients: Clients) -> None:
    with visiting(int(clients.url.rpartition(":")[2])) as page:
        said = paste(page, "api/status")
        (clients.share / "seen by a browser.txt").write_text("fresh")
        # Playwright hears of the page's events only while it is asked something
        eventually(lambda: page.evaluate("1") and said, told=clients.logs)
        assert said[0].text.startswith("File changed:")
        ((kind, body),) = said[0].args[1].json_value().items()
        assert (kind, body["metadata"]["path"]) == ("Create", "seen by a browser.txt")
