"""Chooses how to render without a display: EGL, else OSMesa, else not at all, said in one clear line.

MuJoCo reads `MUJOCO_GL` once, when its GL context module is first imported, and PyOpenGL fixes its platform
at its own first import: a process has one chance. So the libraries are tried by hand first, through ctypes,
which leaves neither of the two touched, and only a backend that answered is handed on. A machine without any
stays fully usable for state observations.
"""

import ctypes
import ctypes.util
import os
import sys
from typing import Literal

from handrail.robot_env.errors import RenderingUnavailable

Backend = Literal["egl", "osmesa"]

_REMEDY = (
    "install libegl1, libegl-mesa0 and libgl1-mesa-dri (or libosmesa6), or run without cameras: cameras=[]"
)
_EGL_PLATFORM_DEVICE = 0x313F
_chosen: Backend | None = None


def choose_backend() -> Backend:
    """Choose a GL backend for this process and tell MuJoCo; later calls return the same.

    A `MUJOCO_GL` set by the user to "egl" or "osmesa" is the only one tried. May be called from any thread,
    before or after `import mujoco`.

    Raises:
        RenderingUnavailable: No backend answers here, or rendering is switched off; says what to install.
    """
    global _chosen
    if _chosen is not None:
        return _chosen
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted in ("disable", "disabled", "off", "false", "0"):
        raise RenderingUnavailable(
            f"rendering is switched off by MUJOCO_GL={wanted}; unset it, or run without cameras: cameras=[]"
        )
    candidates: tuple[Backend, ...] = ("egl", "osmesa")
    if wanted == "egl" or wanted == "osmesa":
        candidates = (wanted,)
    failures = []
    for backend in candidates:
        problem = probe(backend)
        if problem is None:
            try:
                _hand_over(backend)
            except RenderingUnavailable as error:
                problem = str(error)
            else:
                _chosen = backend
                return backend
        failures.append(f"{backend}: {problem}")
    raise RenderingUnavailable(f"cannot render off-screen ({'; '.join(failures)}); {_REMEDY}")


def probe(backend: Backend) -> str | None:
    """Try a backend's library without importing PyOpenGL.

    Returns:
        None when it can be used, else what is wrong with it.
    """
    if not sys.platform.startswith("linux"):
        return f"off-screen rendering is supported on Linux, not on {sys.platform}"
    names = {"egl": ("EGL", "libEGL.so.1"), "osmesa": ("OSMesa", "libOSMesa.so.8")}[backend]
    library = _load(*names)
    if library is None:
        return f"{names[1]} is not installed"
    if backend == "osmesa":
        return None if hasattr(library, "OSMesaCreateContextExt") else f"{names[1]} is too old"
    return _probe_egl(library)


def _load(name: str, fallback: str) -> ctypes.CDLL | None:
    """A shared library, or None where there is none."""
    for candidate in (fallback, ctypes.util.find_library(name)):
        if candidate is None:
            continue
        try:
            return ctypes.CDLL(candidate)
        except OSError:
            continue
    return None


def _probe_egl(library: ctypes.CDLL) -> str | None:
    """Whether EGL has a device whose display starts: what MuJoCo's own context asks for first."""
    void, integer = ctypes.c_void_p, ctypes.c_int
    try:
        get_address, initialize, terminate = (
            library.eglGetProcAddress,
            library.eglInitialize,
            library.eglTerminate,
        )
    except AttributeError:
        return "libEGL.so.1 is not an EGL library"
    get_address.restype, get_address.argtypes = void, [ctypes.c_char_p]
    initialize.argtypes, terminate.argtypes = [void, void, void], [void]
    query_at, display_at = get_address(b"eglQueryDevicesEXT"), get_address(b"eglGetPlatformDisplayEXT")
    if not query_at or not display_at:
        return "libEGL.so.1 cannot list devices"
    query = ctypes.CFUNCTYPE(ctypes.c_uint, integer, void, void)(query_at)
    get_display = ctypes.CFUNCTYPE(void, ctypes.c_uint, void, void)(display_at)
    devices, count = (void * 16)(), integer(0)
    if not query(len(devices), devices, ctypes.byref(count)) or count.value < 1:
        return "libEGL.so.1 finds no device"
    for device in devices[: count.value]:
        display = get_display(_EGL_PLATFORM_DEVICE, device, None)
        if display and initialize(display, None, None):
            terminate(display)
            return None
    return f"none of its {count.value} devices starts a display (is libgl1-mesa-dri installed?)"


def _hand_over(backend: Backend) -> None:
    """Make MuJoCo's renderer use `backend`, also when `mujoco` was imported long ago.

    Raises:
        RenderingUnavailable: PyOpenGL is already bound to another platform in this process.
    """
    os.environ["MUJOCO_GL"] = backend
    if os.environ.get("PYOPENGL_PLATFORM", backend).lower() != backend:
        raise RenderingUnavailable(
            f"PYOPENGL_PLATFORM is {os.environ['PYOPENGL_PLATFORM']!r}, which rules out {backend}; unset it"
        )
    try:
        if backend == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
    except Exception as error:
        # Drivers fail in as many ways as there are drivers; none of them may take a state-only run along.
        raise RenderingUnavailable(
            f"the {backend} library is there but does not start ({error}); {_REMEDY}"
        ) from error
    from mujoco.rendering.classic import gl_context

    gl_context.GLContext = GLContext
