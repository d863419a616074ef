"""Dialogues with hosts that are full, refuse the mail, close or vanish; as in ladder_dialogues, and part of its list."""

from __future__ import annotations

SPLIT = "452 4.5.3 too many recipients"

OTHER_DIALOGUES: list[tuple[str, str, str, str, str]] = [
    # --- too many recipients
    (
        "452 4.5.3: the rest at once",
        "",
        "MAIL, RCPT a, RCPT b, RCPT c",
        f"""
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => {SPLIT}
        RCPT c => {SPLIT}
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT c => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b delivered, c delivered",
    ),
    (
        "452 without a status",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 452 too many recipients
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b delivered",
    ),
    (
        "552, as RFC 821 had it",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 552 too many recipients
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b delivered",
    ),
    (
        "455 4.5.3 means too many recipients, parameters or not",
        "DSN",
        "MAIL, RCPT a, RCPT b NOTIFY=NEVER",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b NOTIFY=NEVER => 455 4.5.3 too many recipients
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b NOTIFY=NEVER => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b delivered",
    ),
    (
        "452 4.5.3 to everybody",
        "",
        "MAIL, RCPT a, RCPT b",
        f"""
        MAIL => 250 ok
        RCPT a => {SPLIT}
        RCPT b => {SPLIT}
        """,
        "a retry, b retry",
    ),
    (
        "552 5.2.2 is a full mailbox",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 552 5.2.2 mailbox full
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b failed",
    ),
    (
        "452 4.2.2 is a full mailbox",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 452 4.2.2 mailbox full
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b retry",
    ),
    (
        "503 to DATA after 452: fewer recipients",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 452 too many recipients
        DATA => 503 too many recipients
        RSET => 250 ok
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b delivered",
    ),
    (
        "452 and 555 in one transaction",
        "DSN",
        "MAIL, RCPT a, RCPT b NOTIFY=SUCCESS, RCPT c",
        f"""
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b NOTIFY=SUCCESS => 555 no
        RCPT c => {SPLIT}
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT c => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b delivered relayed, c delivered",
    ),
    (
        "RCPTMAX=1",
        "LIMITS RCPTMAX=1",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b delivered",
    ),
    (
        "MAILMAX=1",
        "LIMITS MAILMAX=1 RCPTMAX=1",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b next host",
    ),
    # --- MAIL, DATA and content refused
    ("MAIL refused for all mail", "", "MAIL, RCPT a, RCPT b", "MAIL => 452 4.3.1 no space", "a next host, b next host"),
    ("MAIL refused for now", "", "MAIL, RCPT a", "MAIL => 450 4.7.1 greylisted", "a retry"),
    ("MAIL refused for good", "", "MAIL, RCPT a", "MAIL => 550 5.7.1 go away", "a failed"),
    (
        "DATA refused for now",
        "",
        "MAIL, RCPT a",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 451 4.3.0 not now
        """,
        "a retry",
    ),
    (
        "DATA refused for good",
        "",
        "MAIL, RCPT a",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 554 5.7.1 no
        """,
        "a failed",
    ),
    (
        "content refused for now",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 452 4.3.1 no space
        """,
        "a retry, b retry",
    ),
    (
        "content refused for good, and nobody too many is asked for again",
        "",
        "MAIL, RCPT a, RCPT b",
        f"""
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => {SPLIT}
        DATA => 354 go on
        . => 554 5.6.0 spam
        """,
        "a failed, b retry",
    ),
    (
        "455 to the content is no matter of parameters",
        "DSN",
        "MAIL RET=HDRS, RCPT a",
        """
        MAIL RET=HDRS => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => 455 4.5.4 not now
        """,
        "a retry",
    ),
    # --- 421 inside a transaction
    ("421 to MAIL", "", "MAIL, RCPT a, RCPT b", "MAIL => 421 4.3.2 bye, cut", "a next host, b next host"),
    (
        "421 to RCPT",
        "",
        "MAIL, RCPT a, RCPT b, RCPT c",
        """
        MAIL => 250 ok
        RCPT a => 550 5.1.1 no such user
        RCPT b => 421 4.3.2 bye, cut
        """,
        "a failed, b next host, c next host",
    ),
    (
        "421 to DATA",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 450 4.7.1 greylisted
        DATA => 421 4.3.2 bye, cut
        """,
        "a next host, b retry",
    ),
    (
        "421 to the content: the host has not taken it",
        "",
        "MAIL, RCPT a",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => 421 4.3.2 bye, cut
        """,
        "a next host",
    ),
    (
        "421 while on the ladder",
        "DSN",
        "MAIL, RCPT a NOTIFY=NEVER, RCPT b",
        """
        MAIL => 250 ok
        RCPT a NOTIFY=NEVER => 555 no
        RCPT b => 421 4.3.2 bye, cut
        """,
        "a retry changed, b next host",
    ),
    (
        "421 in the second transaction keeps what the first brought",
        "",
        "MAIL, RCPT a, RCPT b",
        f"""
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => {SPLIT}
        DATA => 354 go on
        . => 250 taken
        MAIL => 421 4.7.0 enough, cut
        """,
        "a delivered, b next host",
    ),
    # --- the connection is cut
    ("cut at MAIL", "", "MAIL, RCPT a", "MAIL => cut", "a next host"),
    (
        "cut at RCPT",
        "",
        "MAIL, RCPT a, RCPT b, RCPT c",
        """
        MAIL => 250 ok
        RCPT a => 550 5.1.1 no such user
        RCPT b => cut
        """,
        "a failed, b next host, c next host",
    ),
    (
        "cut at DATA",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 550 5.1.1 no such user
        DATA => cut
        """,
        "a next host, b failed",
    ),
    (
        "cut behind the 354",
        "",
        "MAIL, RCPT a",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => cut
        """,
        "a retry uncertain",
    ),
    (
        "cut behind the final dot concerns those who were accepted",
        "",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 450 4.2.1 busy
        DATA => 354 go on
        . => cut
        """,
        "a retry uncertain, b retry",
    ),
    (
        "cut once everything is answered",
        "",
        "MAIL, RCPT a",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => 250 taken, cut
        """,
        "a delivered",
    ),
    (
        "cut between two transactions",
        "",
        "MAIL, RCPT a, RCPT b",
        f"""
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => {SPLIT}
        DATA => 354 go on
        . => 250 taken, cut
        """,
        "a delivered, b next host",
    ),
    ("cut while a 455 is waited for", "DSN", "MAIL RET=HDRS, RCPT a", "MAIL RET=HDRS => 455 no, cut", "a retry changed"),
    ("cut on the ladder, at RSET", "DSN", "MAIL, RCPT a NOTIFY=NEVER",
        """
        MAIL => 250 ok
        RCPT a NOTIFY=NEVER => 555 no
        RSET => cut
        """,
        "a next host",
    ),
    (
        "cut in a pipelined group",
        "PIPELINING",
        "MAIL, RCPT a, RCPT b",
        """
        MAIL => 250 ok
        RCPT a => 550 5.1.1 no such user
        RCPT b => cut
        """,
        "a failed, b next host",
    ),
    # --- what is no reply
    ("garbage to MAIL", "", "MAIL, RCPT a", "MAIL => garbage", "a next host"),
    ("354 to RCPT", "", "MAIL, RCPT a", "MAIL => 250 ok\nRCPT a => 354 go on", "a next host"),
    (
        "garbage to the content",
        "",
        "MAIL, RCPT a",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        . => garbage
        """,
        "a retry uncertain",
    ),
    (
        "garbage on the ladder",
        "DSN",
        "MAIL RET=HDRS, RCPT a",
        """
        MAIL RET=HDRS => 555 no
        MAIL => garbage
        """,
        "a next host",
    ),
]  # fmt: skip
