"""Dialogues between our client and hosts that mind parameters; see ladder_host for the words.

(name, what the host announces, the message, the dialogue, the end for each recipient)
"""

from __future__ import annotations

DIALOGUES: list[tuple[str, str, str, str, str]] = [
    # --- 455 and 555 to one parameter
    (
        "455 to RET, once",
        "DSN",
        "MAIL RET=HDRS, RCPT bob",
        """
        MAIL RET=HDRS => 455 4.5.4 not now
        MAIL RET=HDRS => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "455 to RET, always",
        "DSN",
        "MAIL RET=HDRS, RCPT bob",
        """
        MAIL RET=HDRS => 455 not now
        MAIL RET=HDRS => 455 not now
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "455 whatever is said",
        "DSN",
        "MAIL RET=HDRS, RCPT bob, RCPT eve",
        """
        MAIL RET=HDRS => 455 not now
        MAIL RET=HDRS => 455 not now
        MAIL => 455 not now
        MAIL => 455 not now
        """,
        "bob retry, eve retry",
    ),
    (
        "555 to NOTIFY=SUCCESS: the report falls to us",
        "DSN",
        "MAIL, RCPT bob NOTIFY=SUCCESS",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=SUCCESS => 555 5.5.4 Unsupported option: NOTIFY=SUCCESS
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered relayed",
    ),
    (
        "555 to NOTIFY=DELAY,FAILURE, where others bounce",
        "DSN",
        "MAIL, RCPT bob NOTIFY=FAILURE,DELAY",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=FAILURE,DELAY => 555 RCPT TO parameters not recognized or not implemented
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "501 Bad NOTIFY parameter syntax",
        "DSN",
        "MAIL, RCPT bob NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@example.com",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@example.com => 501 5.5.4 Bad NOTIFY parameter syntax
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "503 at RCPT with parameters",
        "DSN",
        "MAIL, RCPT bob NOTIFY=NEVER",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=NEVER => 503 5.5.1 no
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "503 without parameters is a bad sequence",
        "DSN",
        "MAIL, RCPT bob",
        "MAIL => 503 5.5.1 say HELO first",
        "bob failed",
    ),
    (
        "504 to RET and ENVID",
        "DSN",
        "MAIL RET=FULL ENVID=q, RCPT bob",
        """
        MAIL RET=FULL ENVID=q => 504 parameter not implemented
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "501 about the sender's address",
        "DSN",
        "MAIL RET=HDRS, RCPT bob",
        "MAIL RET=HDRS => 501 5.1.7 bad sender address syntax",
        "bob failed",
    ),
    (
        "555 about the recipient's address",
        "DSN",
        "MAIL, RCPT bob NOTIFY=NEVER",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=NEVER => 555 5.1.1 no such user
        """,
        "bob failed",
    ),
    (
        "455 about the recipient's address",
        "DSN",
        "MAIL, RCPT bob NOTIFY=NEVER",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=NEVER => 455 4.1.1 not here today
        """,
        "bob retry",
    ),
    (
        "555 to every MAIL",
        "DSN",
        "MAIL RET=HDRS, RCPT bob",
        """
        MAIL RET=HDRS => 555 no
        MAIL => 555 no
        """,
        "bob failed",
    ),
    (
        "555 to BODY: the content is made 7-bit",
        "8BITMIME",
        "MAIL BODY=8BITMIME, RCPT bob",
        """
        MAIL BODY=8BITMIME => 555 5.5.4 no
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        7-bit . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "no 8BITMIME: the content is made 7-bit",
        "",
        "MAIL BODY=8BITMIME, RCPT bob",
        """
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        7-bit . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "455 to BY in mode N: a report falls to us",
        "DELIVERBY",
        "MAIL BY=3600;N, RCPT bob",
        """
        MAIL BY=3600;N => 455 4.5.4 not now
        MAIL BY=3600;N => 455 4.5.4 not now
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered relayed",
    ),
    (
        "455 to BY in mode R: it is kept",
        "DELIVERBY",
        "MAIL BY=3600;R, RCPT bob",
        """
        MAIL BY=3600;R => 455 4.5.4 not now
        MAIL BY=3600;R => 455 4.5.4 not now
        """,
        "bob retry",
    ),
    (
        "555 to BY in mode R: it is kept",
        "DELIVERBY",
        "MAIL BY=3600;R, RCPT bob",
        "MAIL BY=3600;R => 555 5.5.4 no",
        "bob failed",
    ),
    (
        "555 to MT-PRIORITY, and DSN goes on",
        "DSN, MT-PRIORITY",
        "MAIL RET=HDRS MT-PRIORITY=4, RCPT bob NOTIFY=SUCCESS",
        """
        MAIL RET=HDRS MT-PRIORITY=4 => 555 no
        MAIL RET=HDRS => 250 ok
        RCPT bob NOTIFY=SUCCESS => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "555, then 455, then consent",
        "DSN, MT-PRIORITY",
        "MAIL RET=HDRS MT-PRIORITY=4, RCPT bob",
        """
        MAIL RET=HDRS MT-PRIORITY=4 => 555 no
        MAIL RET=HDRS => 455 not now
        MAIL RET=HDRS => 455 not now
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "refused at MAIL and then at RCPT",
        "DSN",
        "MAIL RET=HDRS, RCPT bob NOTIFY=SUCCESS",
        """
        MAIL RET=HDRS => 555 no
        MAIL => 250 ok
        RCPT bob NOTIFY=SUCCESS => 555 no
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered relayed",
    ),
    (
        "one command at a time when 455 lasts",
        "PIPELINING, DSN",
        "MAIL RET=HDRS, RCPT bob",
        """
        MAIL RET=HDRS => 455 not now
        RCPT bob => 503 MAIL first
        DATA => 503 MAIL first
        MAIL RET=HDRS => 455 not now
        RCPT bob => 503 MAIL first
        DATA => 503 MAIL first
        MAIL => 455 not now
        RCPT bob => 503 MAIL first
        DATA => 503 MAIL first
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered",
    ),
    (
        "one recipient a transaction when 455 lasts",
        "DSN",
        "MAIL, RCPT bob NOTIFY=NEVER, RCPT eve NOTIFY=NEVER",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=NEVER => 455 not now
        RCPT eve NOTIFY=NEVER => 455 not now
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob NOTIFY=NEVER => 455 not now
        RCPT eve NOTIFY=NEVER => 455 not now
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 455 not now
        RCPT eve => 455 not now
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT eve => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered, eve delivered",
    ),
    # --- several recipients
    (
        "555 for one recipient does not harm the other",
        "DSN",
        "MAIL, RCPT bob NOTIFY=SUCCESS, RCPT eve NOTIFY=SUCCESS",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=SUCCESS => 250 ok
        RCPT eve NOTIFY=SUCCESS => 555 no
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT eve => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered, eve delivered relayed",
    ),
    (
        "455 for one recipient waits for the other's content",
        "DSN",
        "MAIL, RCPT bob NOTIFY=NEVER, RCPT eve NOTIFY=NEVER",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=NEVER => 455 not now
        RCPT eve NOTIFY=NEVER => 250 ok
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT bob NOTIFY=NEVER => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered, eve delivered",
    ),
    (
        "555 at RCPT in a pipelined group where nobody is left",
        "PIPELINING, DSN",
        "MAIL, RCPT bob NOTIFY=SUCCESS",
        """
        MAIL => 250 ok
        RCPT bob NOTIFY=SUCCESS => 555 no
        DATA => 554 no valid recipients
        RSET => 250 ok
        MAIL => 250 ok
        RCPT bob => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
        "bob delivered relayed",
    ),
    (
        "each recipient by its own reply",
        "",
        "MAIL, RCPT a, RCPT b, RCPT c, RCPT d",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 550 5.1.1 no such user
        RCPT c => 450 4.7.1 greylisted
        RCPT d => 251 will forward
        DATA => 354 go on
        . => 250 taken
        """,
        "a delivered, b failed, c retry, d delivered",
    ),
]
