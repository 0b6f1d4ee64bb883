"""A real browser, driven over a pipe by the DevTools protocol: no driver, no port, no library."""

import base64
import json
import os
import shutil
import signal
import tempfile
from contextlib import asynccontextmanager
from itertools import count

import trio

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)


class Page:
    """One page."""

    def __init__(self, commands, answers):
        self._commands, self._answers, self._heard = commands, answers, b""
        self._numbers, self._session = count(1), None
        self.complaints = []  # what the page's console said, and what its policy kept out

    async def say(self, method, **params):
        """One command, and its result."""
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": params}
        if self._session is not None:
            said["sessionId"] = self._session
        await self._commands.send_all(json.dumps(said).encode() + b"\0")
        while (heard := await self._hear()).get("id") != number:
            self._note(heard)
        assert "error" not in heard, heard
        return heard["result"]

    async def open(self, url):
        target = (await self.say("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.say("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.say(f"{domain}.enable")
        await self.say("Page.navigate", url=url)

    async def run(self, expression):
        """What a JavaScript expression comes to."""
        said = await self.say("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def wait(self, expression, seconds=15):
        """Waits until the expression is true; its value."""
        with trio.fail_after(seconds):
            while not (value := await self.run(f"(() => {{ try {{ return {expression} }} catch {{ return 0 }} }})()")):
                await trio.sleep(0.05)
        return value

    async def press(self, key, code=None):
        """A key, as from a keyboard."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        named = {"key": key, "code": code or key, "windowsVirtualKeyCode": {"Enter": 13, " ": 32, "Tab": 9}[key]}
        await self.say("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        await self.say("Input.dispatchKeyEvent", type="keyUp", **named)

    async def type(self, text):
        await self.say("Input.insertText", text=text)

    async def resize(self, width, height, *, mobile=False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        await self.say("Emulation.setDeviceMetricsOverride", **metrics)

    async def picture(self):
        shot = await self.say("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def _hear(self):
        while b"\0" not in self._heard:
            data = await self._answers.receive_some(1 << 20)
            assert data, "the browser has gone"
            self._heard += data
        told, _, self._heard = self._heard.partition(b"\0")
        return json.loads(told)

    def _note(self, heard):
        if heard.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(heard["params"])


@asynccontextmanager
async def browsing(url):
    """A browser that shows the page."""
    down, up = os.pipe(), os.pipe()

    def arrange():
        for source, target in [(os.dup(down[0]), 3), (os.dup(up[1]), 4)]:
            os.dup2(source, target)

    with tempfile.TemporaryDirectory(prefix="qf-", ignore_cleanup_errors=True) as profile:
        process = await trio.lowlevel.open_process(
            [CHROMIUM, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=arrange,
            pass_fds=(3, 4),
            start_new_session=True,
            stdout=-3,
            stderr=-3,
        )
        os.close(down[0])
        os.close(up[1])
        try:
            async with trio.lowlevel.FdStream(down[1]) as commands, trio.lowlevel.FdStream(up[0]) as answers:
                page = Page(commands, answers)
                await page.open(url)
                yield page
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await process.wait()
