"""A headless Chromium for tests of pages: loads files, runs scripts, points, clicks."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request

import pytest
import websocket


class Browser:
    """A page in Chromium over the DevTools protocol; skips the test where there is no Chromium.

    `said` are its errors and the addresses that it asked for.
    """

    def __init__(self, folder, *, width=1200, height=1000):
        if not shutil.which("chromium"):
            pytest.skip("no chromium (Debian: apt-get install chromium)")
        options = ["--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader"]
        options += ["--remote-debugging-port=0", "--remote-allow-origins=*"]
        options += [f"--user-data-dir={folder}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(["chromium", *options], **quiet)
        port = folder / "DevToolsActivePort"
        until = time.monotonic() + 30
        while not (port.exists() and "\n" in port.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        tabs = f"http://127.0.0.1:{port.read_text().split()[0]}/json"
        with urllib.request.urlopen(tabs) as answer:
            pages = [tab for tab in json.load(answer) if tab["type"] == "page"]
        self.socket = websocket.create_connection(pages[0]["webSocketDebuggerUrl"], timeout=60)
        self.number = 0
        self.said = []
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.do(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.do("Emulation.setDeviceMetricsOverride", **size)

    def do(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self._listen(message.get("method"), message.get("params"))

    def _listen(self, method, given):
        if method == "Network.requestWillBeSent":
            url = given["request"]["url"]
            self.said += [] if url.startswith(("data:", "file:")) else [url]
        elif (
            method == "Runtime.exceptionThrown"
            or (method == "Log.entryAdded" and given["entry"]["level"] == "error")
            or (method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"))
        ):
            self.said.append(given)

    def ask(self, script):
        """Value of a script; waits until it is true."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            answer = self.do("Runtime.evaluate", expression=script, returnByValue=True)
            assert "exceptionDetails" not in answer, answer
            if answer["result"].get("value"):
                return answer["result"]["value"]
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def point(self, x, y, *, click=False):
        for kind in ["mouseMoved", *(["mousePressed", "mouseReleased"] if click else [])]:
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot")["data"]))

    def open(self, path):
        """Load a file; pages that build themselves need an `ask` of their own."""
        self.do("Page.navigate", url=f"file://{path}")
        here = f"location.pathname.endsWith({json.dumps(path.name)})"
        self.ask(f"{here} && document.readyState == 'complete'")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
