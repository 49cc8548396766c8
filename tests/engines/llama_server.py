"""llama.cpp's own server on a random loopback port, as somebody else would run it.

Run as a file, so that it imports nothing of ours. It reads one line of JSON settings from standard
input, writes one line with its address, and lives until standard input ends: a parent that dies,
however it dies, takes it along. What llama.cpp says goes to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Serve the model named in the settings until the parent is gone."""
    # Ctrl-C and kill reach a whole process group; the parent decides when its engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    address_fd = os.dup(1)
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.buffer.readline())

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    slots = settings.get("slots", 1)
    params.n_ctx = slots * settings["context"]
    params.n_batch = params.n_ubatch = settings["batch"]
    flash = "ENABLED" if settings["flash_attention"] else "DISABLED"
    params.flash_attn_type = xllamacpp.llama_flash_attn_type[f"LLAMA_FLASH_ATTN_TYPE_{flash}"]
    params.api_keys = [settings["key"]]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 2
    params.n_parallel = slots
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = 0
    params.warmup = False
    params.fit_params = False
    params.verbosity = 1
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)
    os.write(address_fd, server.listening_address.encode() + b"\n")
    while os.read(0, 4096):
        pass
    # The server has no way to stop; nothing here needs flushing.
    os._exit(0)


if __name__ == "__main__":
    main()
