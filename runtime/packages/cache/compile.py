# Reads modules from standard input and answers with their bytecode. It opens no
# file, and what it reads may be hostile: the process has no rights, and what it
# may use is bounded here, before anything is read.
import importlib.util
import marshal
import resource
import struct
import sys

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

take, give = sys.stdin.buffer, sys.stdout.buffer


def answer(data):
    give.write(struct.pack("<I", len(data)))
    give.write(data)
    give.flush()


def compiled(source, name):
    # Flags 1: checked by nobody, as the file can't change (PEP 552).
    code = compile(source, name, "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + struct.pack("<I", 1)
    return head + importlib.util.source_hash(source) + marshal.dumps(code)


answer((sys.implementation.cache_tag or "").encode())
while True:
    head = take.read(8)
    if len(head) < 8:
        break
    name_size, source_size = struct.unpack("<II", head)
    name, source = take.read(name_size).decode(), take.read(source_size)
    try:
        data = compiled(source, name)
    except BaseException:  # a template, or made for another Python
        data = b""
    answer(data)
