"""The console as an application: one table of everything that may be asked."""

from collections.abc import Callable
from urllib.parse import parse_qs

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from handrail.launch.console import critic, downloads, episodes, setup
from handrail.launch.console.access import Door, Identity, identity_of
from handrail.launch.console.answers import Refused, refuse
from handrail.launch.console.files import Files
from handrail.launch.console.hand import Hands
from handrail.launch.console.live import Live
from handrail.launch.console.sessions import Sessions, Socket
from handrail.launch.console.site import Handler, RouteSpec, Site
from handrail.launch.console.stopping import Stopper
from handrail.launch.console.video import Video
from handrail.robot_env.errors import ConfigError, HandrailError

PUBLIC = ("/login", "/static/")


def table(site: Site, door: Door, sessions: Sessions) -> list[RouteSpec]:
    """Everything that may be asked over HTTP."""

    def leave(identity: Identity) -> str:
        """Take back what somebody had, and return the header that forgets them."""
        site.lease.release(identity)
        forget = door.sign_out(identity)
        sessions.end(identity.sid)
        return forget

    async def sign_out(request: Request) -> Response:
        return RedirectResponse("/login", 303, headers={"Set-Cookie": leave(identity_of(request))})

    own = [*Pages(door, Files(), leave).routes(), RouteSpec("/logout", "POST", "viewer", sign_out)]
    return own + [route for part in (episodes, critic, setup, downloads) for route in part.routes(site)]


def sockets(site: Site, video: Video, stopper: Stopper, sessions: Sessions) -> dict[str, Socket]:
    """Every WebSocket; each asks the site who it is, and ends when they sign out."""
    live, hands = Live(site, stopper), Hands(site)

    async def show(socket: WebSocket) -> None:
        await video.serve(site, socket)

    opened: dict[str, Socket] = {"/ws/live": live.serve, "/ws/video": show, "/ws/hand": hands.serve}
    return {path: sessions.until_signed_out(serve) for path, serve in opened.items()}


def application(site: Site, routes: list[RouteSpec], opened: dict[str, Socket]) -> Starlette:
    """What is behind the gate: these routes, and nothing else."""
    inner = Starlette(
        routes=[
            *(Route(each.path, guarded(site, each), methods=[each.method]) for each in routes),
            *(WebSocketRoute(path, serve) for path, serve in opened.items()),
        ],
        exception_handlers={404: _nothing_here, 405: _nothing_here},
    )
    inner.router.redirect_slashes = False
    return inner


def guarded(site: Site, spec: RouteSpec) -> Handler:
    """A handler behind its role, whose errors become answers."""

    async def handle(request: Request) -> Response:
        # Starlette answers HEAD wherever it answers GET; the gate has refused it already.
        if spec.role != "public":
            identity = site.who(request)
            if spec.role == "operator" and identity.role != "operator":
                return refuse(403, "a viewer looks on; sign in with the operator's token to act")
            if spec.lease and (why := site.lease.act(identity)):
                return refuse(403, why)
        try:
            return await spec.handler(request)
        except Refused as error:
            return refuse(error.status, str(error))
        except HandrailError as error:
            return refuse(409, " ".join(str(error).split()))
        except ClientDisconnect:
            return refuse(400, "the request has not come whole")  # and nobody reads this
        except Exception as error:
            structlog.get_logger().exception("request", path=spec.path)
            return refuse(500, f"unexpected {type(error).__name__}; the console's log has more")

    return handle


class Pages:
    """The page itself and its door.

    Args:
        door: signs people in.
        files: the page's files.
        leave: ends what somebody had who signs in as somebody else.
    """

    def __init__(self, door: Door, files: Files, leave: Callable[[Identity], object]) -> None:
        self._door, self._files, self._leave = door, files, leave

    def routes(self) -> list[RouteSpec]:
        """What may be asked of them."""
        return [
            RouteSpec("/", "GET", "viewer", self._index),
            RouteSpec("/static/{name:path}", "GET", "public", self._static),
            RouteSpec("/login", "GET", "public", self._login),
            RouteSpec("/login", "POST", "public", self._sign_in),
        ]

    async def _index(self, request: Request) -> Response:
        return self._files.answer(request, "index.html")

    async def _static(self, request: Request) -> Response:
        return self._files.answer(request, request.path_params["name"])

    async def _login(self, request: Request) -> Response:
        """The form. A page of any site can send a browser here, so nobody is signed in, or out, by it."""
        token = request.query_params.get("token", "").strip()
        role, known = self._door.role(token), self._door.know(request)
        if token and role is None:
            return RedirectResponse("/login?refused=1", 303)
        if role is not None and known is not None:
            if known.role == role:  # who comes again stays who they are
                return RedirectResponse("/", 303)
            if "over" not in request.query_params:  # the form says so, before somebody presses by habit
                return RedirectResponse(f"/login?over={known.role}&{request.url.query}", 303)
        return self._files.answer(request, "login.html")  # it takes token and name from the address

    async def _sign_in(self, request: Request) -> Response:
        try:
            form = parse_qs((await request.body()).decode(), max_num_fields=4)
        except ValueError:
            return RedirectResponse("/login?refused=1", 303)
        name = form.get("name", [""])[0]
        if not name.strip():
            return RedirectResponse("/login?refused=name", 303)
        try:
            let_in = self._door.sign_in(form.get("token", [""])[0].strip(), name)
        except ConfigError:
            return RedirectResponse("/login?refused=name", 303)
        if let_in is None:
            return RedirectResponse("/login?refused=1", 303)
        if (before := self._door.know(request)) is not None:
            self._leave(before)
        return RedirectResponse("/", 303, headers={"Set-Cookie": let_in[1]})


async def _nothing_here(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return refuse(
        status, "there is nothing of that name here" if status == 404 else f"no {request.method} here"
    )
