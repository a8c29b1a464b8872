# Requests of the official Python library: `pip install pusher==3.3.4`, then `python capture_pusher.py > pusher-python.json`.
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pusher

KEY, SECRET = "app-key", "a secret: é"
seen = []


class Recorder(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        path, query = self.path.split("?", 1)
        seen.append({"method": self.command, "path": path, "query": query, "body": body})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = pusher.Pusher("7", KEY, SECRET, ssl=False, host="127.0.0.1", port=server.server_port)
client.trigger("my-channel", "greeting", {"text": "hi é"}, "123.456")
client.trigger(["a", "private-b"], "e", "text")
client.trigger_batch([{"channel": "a", "name": "one", "data": {"n": 1}}])
client.send_to_user("7", "note", {})
client.terminate_user_connections("a-user@1")
client.channels_info("presence-", ["user_count", "subscription_count"])
client.channels_info("a b+c%2Cé", [])
client.channel_info("presence-a", ["user_count"])
client.users_info("presence-a")

lines = ",\n".join(json.dumps(request, ensure_ascii=False) for request in seen)
about = {"library": f"pusher {pusher.version.VERSION}", "key": KEY, "secret": SECRET}
app = json.dumps(about, ensure_ascii=False)
print(f'{{\n"app":{app},\n"requests":[\n{lines}\n]\n}}')
