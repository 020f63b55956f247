"""What an operating system says about files, in words for people."""

import errno
import socket
import ssl

from quantum.errors import explained, in_words, unusable


def test_a_missing_file_is_told_by_its_path_and_a_remedy():
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/etc/site.pem")
    assert str(unusable("apps.tls.certificates.load_files[0]", error)) == (
        "apps.tls.certificates.load_files[0]: cannot be used: /etc/site.pem: No such file or directory "
        "(check the path; a relative one starts at the working directory)"
    )


def test_a_full_disk_is_told_by_the_place_that_was_written_to():
    problem, remedy = explained(
        OSError(errno.ENOSPC, "No space left on device"), "the data directory"
    )
    assert problem == "the data directory: No space left on device"
    assert remedy.startswith("make room")


def test_an_error_that_says_it_all_is_left_as_it_is():
    assert explained(ValueError("a key is missing")) == ("a key is missing", "")
    assert explained(TimeoutError()) == ("TimeoutError", "")
    assert explained(ssl.SSLError(1, "[SSL] PEM lib"))[0].endswith("PEM lib")


def test_an_error_is_told_without_its_number_in_the_systems_own_words():
    assert in_words(
        ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)")
    ) == ("Connection refused")
    assert in_words(socket.gaierror(socket.EAI_NONAME, "Name or service not known")) == (
        "Name or service not known"
    )
