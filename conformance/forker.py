"""Keeps the commands openstack and baremetal loaded, and forks one for each call.

Loading them takes most of the time of a call. A call comes over a socket as a line of JSON (argv, cwd, env) that brings
the caller's standard files with it; its exit status goes back as a line.
"""

import array
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import traceback

import ironicclient.shell
import openstackclient.shell

MAINS = {"openstack": openstackclient.shell.main, "baremetal": ironicclient.shell.main}

# The commands load these when they are called.
LOADED = ["openstack", "openstackclient.identity", "openstackclient.compute", "openstackclient.image", "openstackclient.network",
          "ironicclient.osc", "ironicclient.v1", "keystoneauth1.loading", "keystoneauth1.identity", "novaclient.client"]


def load():
    for name in LOADED:
        try:
            module = importlib.import_module(name)
            if name.startswith("openstackclient") or name == "ironicclient.osc":
                for sub in pkgutil.walk_packages(module.__path__, name + "."):
                    if ".tests" not in sub.name:
                        importlib.import_module(sub.name)
        except Exception:  # a version without it works all the same, a little slower
            traceback.print_exc()


def call(connection):
    """Becomes the command that is asked for."""
    line, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not line.endswith(b"\n"):
        more = connection.recv(1 << 20)
        if not more:
            os._exit(0)  # whoever called has gone
        line += more
    asked = json.loads(line)
    status = 1
    try:
        for i, f in enumerate(files):
            os.dup2(f, i)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.argv = asked["argv"]
        name = os.path.basename(sys.argv[0])
        try:
            sys.exit(MAINS[name](sys.argv[1:]))
        except SystemExit as end:
            status = end.code
            if status is None:
                status = 0
            elif not isinstance(status, int):
                print(status, file=sys.stderr)
                status = 1
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    connection.sendall(b"%d\n" % (status & 0xFF))
    os._exit(0)


def main():
    load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            call(connection)
        connection.close()


main()
