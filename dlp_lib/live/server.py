"""Voila as the live lab needs it: kernels end with their pages, and no other site is asked."""

import re
import time

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado import web
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

UNUSED = 2 * 3600  # seconds after which a page that is open, but not used, loses its kernel
STARTING = 120  # seconds that a page may take until it reaches its new kernel
# Voila's own way to draw widgets. Other extensions of JupyterLab have nothing to do here.
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
LOADING = "The page is starting: Python and PyTorch take about ten seconds."
_FOREIGN_LINK = re.compile(r"""<(link|script)[^>]*(href|src)=["']https?://[^>]*>(</script>)?""")
_LOADING_TEXT = re.compile(r'(<h2 id="loading_text">)[^<]*')
_LOADING_CALL = re.compile(r"voila_process\(\d+, \d+\)")

# Asks every three seconds whether the kernel is still there, as nothing else would tell.
WATCH = """
<div id="dlp-lost" role="alert" hidden style="position: fixed; inset: 0 0 auto 0; z-index: 9;
    padding: 12px; background: #B00020; color: white; font-family: sans-serif">
  This page has lost its kernel, and does not answer any more. What was trained is kept.
  <button onclick="location.reload()">Reload the page</button>
</div>
<script>
setInterval(async () => {
  const page = JSON.parse(document.getElementById("jupyter-config-data").textContent);
  const address = page.baseUrl + "api/kernels/" + page.kernelId;
  const answer = await fetch(address, {cache: "no-store"}).catch(() => null);
  document.getElementById("dlp-lost").hidden = answer !== null && answer.ok;
}, 3000);
</script>
"""


class Kernels(AsyncMappingKernelManager):
    """Ends a kernel, and the job in it, when its page is gone."""

    def __init__(self, **options):
        super().__init__(**options)
        self._deadlines: dict[str, float] = {}  # until when a kernel may be without a page

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel whose page is gone, whatever it computes, or has not been used for long."""
        now = time.monotonic()
        if self._kernel_connections.get(kernel_id, 0):
            self._deadlines[kernel_id] = now + self.cull_idle_timeout
            idle = time.time() - self._kernels[kernel_id].last_activity.timestamp()
            is_over = idle > UNUSED
        else:
            starting = now + max(STARTING, self.cull_idle_timeout)
            is_over = now > self._deadlines.setdefault(kernel_id, starting)
        if is_over:
            del self._deadlines[kernel_id]
            await self.shutdown_kernel(kernel_id)


class PageHandler(TornadoVoilaHandler):
    """Serves the page."""

    @web.authenticated
    async def get(self, path: str | None = None) -> None:
        """Send the page piece by piece."""
        self.xsrf_token  # noqa: B018  Sets the cookie that the page needs to end its kernel
        async for piece in self.get_generator(path=path):
            self.write(without_foreign_links(piece))
            self.flush()
        self.write(WATCH)


def without_foreign_links(piece: str) -> str:
    """Return HTML of Voila without what it loads from other sites, and with our loading text."""
    piece = _FOREIGN_LINK.sub("", piece)
    piece = _LOADING_TEXT.sub(rf"\g<1>{LOADING}", piece)
    return _LOADING_CALL.sub(f'update_loading_text(1, 1, "{LOADING}")', piece)


class Server(Voila):
    """Voila with our handler for pages."""

    def init_handlers(self) -> list:
        """Return Voila's handlers, ours in the place of its own."""
        handlers = []
        for address, handler, *options in super().init_handlers():
            if handler is TornadoVoilaHandler:
                handler = PageHandler
            handlers.append((address, handler, *options))
        return handlers


def configuration(port: int, ip: str, forget_after: float, opens_browser: bool) -> Config:
    """Return Voila's options.

    Args:
        port: of the page's address; the next ones are tried where it is taken.
        ip: the address to listen at.
        forget_after: seconds after which a kernel without a page is ended.
        opens_browser: whether to open the page.
    """
    config = Config()
    config.Voila.port = port
    config.Voila.ip = ip
    config.Voila.open_browser = opens_browser
    config.VoilaConfiguration.multi_kernel_manager_class = Kernels
    config.VoilaConfiguration.extension_allowlist = EXTENSIONS
    config.KernelRestarter.restart_limit = 0  # the page could not use another kernel
    config.MappingKernelManager.cull_idle_timeout = int(forget_after)
    config.MappingKernelManager.cull_interval = max(1, int(forget_after / 10))
    return config
