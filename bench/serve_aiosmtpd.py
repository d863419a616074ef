#!/usr/bin/env python3
"""aiosmtpd with a handler that does nothing, to be measured: `bench/serve_aiosmtpd.py [--tls CERT KEY]`.

On asyncio's own event loop, as its Controller runs it. Prints its port and runs until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Nothing:
    """Answers the content with 250, and forgets it."""

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        return "250 OK"


async def serve(context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        return SMTP(Nothing(), hostname="mx.example.org", tls_context=context, enable_SMTPUTF8=True, loop=loop)

    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=2048)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    ended = asyncio.Event()
    loop.add_reader(0, lambda: os.read(0, 4096) or ended.set())
    await ended.wait()
    os._exit(0)  # its sessions would wait for their peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    arguments = parser.parse_args()
    context = None
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.tls)
    asyncio.run(serve(context))


if __name__ == "__main__":
    sys.exit(main())
