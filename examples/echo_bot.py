"""A bot: says again what it is told in private, and what follows ``!echo`` in the lobby.

python examples/echo_bot.py HOST PORT        Ctrl+C ends it
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

client = [sys.executable, str(Path(__file__).parents[1] / "chat_client.py"), *sys.argv[1:3]]
options = ["echo", "1", "--jsonl", "--bot"]
signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback
with subprocess.Popen(
    [*client, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
) as chat:
    for event in map(json.loads, chat.stdout or ()):
        if event["purpose"] == "message" and event["to"] == "@echo":
            print(json.dumps({"to": "@" + event["from"], "text": event["text"]}), file=chat.stdin)
        elif event["purpose"] == "message" and event["text"].startswith("!echo "):
            print(json.dumps({"text": event["text"][6:]}), file=chat.stdin)
