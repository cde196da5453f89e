"""`pulse-serve`: a bundle behind OpenAI's chat completions."""

from __future__ import annotations

import argparse
import ctypes
import ipaddress
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.bundle import Bundle
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError

TOKEN = "PULSE_SERVE_TOKEN"
_M_ARENA_MAX = -8  # malloc.h of glibc


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; exit status 0 stopped, 2 wrong use."""
    return run("pulse-serve", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    if args.waiting < 1 or args.port not in range(65536):
        raise UserError("--waiting must be 1 or more, and --port lie between 0 and 65535")
    if args.max_mb < 1 or args.timeout < 1:
        raise UserError("--max-mb and --timeout must be 1 or more")
    token = _token(args.token_file)
    if token is None and not _is_loopback(args.host):
        raise UserError(
            f"{args.host} can be reached from other machines, and there is no token; give --token-file FILE, or set "
            f"{TOKEN}"
        )
    if (args.tls_cert is None) != (args.tls_key is None):
        raise UserError("--tls-cert and --tls-key go together; give both")
    for path in (args.tls_cert, args.tls_key):
        if path is not None and not Path(path).is_file():
            raise UserError(f"{path}: is not there; give a PEM file")
    if args.tls_cert is not None:
        _check_pair(args.tls_cert, args.tls_key)
    import uvicorn

    from edge_runtime.serve.app import Limits, create_app
    from edge_runtime.serve.patience import PunctualProtocol
    from edge_runtime.serve.worker import Worker
    from edge_runtime.session import Session, cases_of

    _share_memory_of_threads()
    bundle = Bundle.load(args.bundle, args.require_signature)
    session = Session.of(bundle, args.threads, args.provider)
    served = bundle.provenance
    limits = Limits(args.max_mb << 20, answer_s=args.timeout)
    app = create_app(Worker(session, args.waiting), served, token, limits, cases_of(bundle) is not None)
    config = uvicorn.Config(
        app,
        args.host,
        args.port,
        http=PunctualProtocol,
        ssl_certfile=args.tls_cert,
        ssl_keyfile=args.tls_key,
        log_level="warning",  # what is asked and by whom is nobody's business
        access_log=False,
        limit_concurrency=256,
        timeout_graceful_shutdown=int(args.timeout),
        server_header=False,
    )
    scheme = "http" if args.tls_cert is None else "https"
    print(f"{served.name} ({served.target}) at {scheme}://{args.host}:{args.port}/v1; Ctrl-C stops it", file=sys.stderr)
    print(served.notice, file=sys.stderr)
    # uvicorn raises a signal again once it has stopped; to be told to stop is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        uvicorn.Server(config).run()
    except SystemExit:
        raise UserError(f"{args.host}:{args.port} cannot be listened on; choose another --port") from None
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pulse-serve",
        description="Answer about ECG pages over HTTP, as OpenAI's chat completions.",
        epilog=f"The token stands in a file or in the environment variable {TOKEN}, and never on the command line.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="pulse-nano, or a folder that pulse-export wrote")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="to listen on (%(default)s)")
    parser.add_argument("--port", type=int, metavar="N", default=8000, help="to listen on (%(default)s)")
    parser.add_argument("--token-file", metavar="FILE", help="holds the bearer token that requests must have")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM), for https")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--waiting", type=int, metavar="N", default=32, help="requests that may wait (%(default)s)")
    parser.add_argument("--timeout", type=float, metavar="S", default=120, help="for a whole answer (%(default)s)")
    parser.add_argument("--max-mb", type=int, metavar="N", default=32, help="largest request (%(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: every physical core")
    parser.add_argument("--provider", metavar="P", help="ONNX Runtime's: cpu, cuda, webgpu ... (default: cpu)")
    parser.add_argument("--require-signature", metavar="PUBKEY", help="refuse a bundle not signed with this key (PEM)")
    return parser


def _share_memory_of_threads() -> None:
    """One arena of glibc's malloc: a thread's own gives large arrays back at once, and each costs its pages anew."""
    mallopt = getattr(ctypes.CDLL(None) if os.name == "posix" else None, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _check_pair(certificate: str, key: str) -> None:
    """Raises UserError unless they can be read and belong together; uvicorn would end in a traceback."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, _no_password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise UserError(
            f"{certificate}, {key}: are no certificate and its key ({reason}); give PEM files that belong together, "
            "and a key without a password"
        ) from None


def _no_password() -> str:
    raise ValueError("the key has a password")


def _token(path: str | None) -> str | None:
    if path is None:
        token = os.environ.get(TOKEN) or None
        if token is not None and not (token.isascii() and token.strip() == token):
            raise UserError(f"{TOKEN} holds no token of plain letters; set it anew")
        return token
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give a text file that holds the token") from None
    if not token or not token.isascii():
        raise UserError(f"{path}: holds no token of plain letters; write one into it")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
