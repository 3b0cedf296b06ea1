"""Serves the built page: files as they are, and index.html for every address that is the page's own.

Enters: the path of a GET. Leaves: a file. index.html is asked for anew each time; files under assets/ carry a hash of
their content in the name and are kept for ever. Nothing outside the folder can be reached, links included.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from watchkeeper.errors import NotFound
from watchkeeper.gateway.auth import PAGE_PATH, is_api_path

STATIC_FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
ASSETS = "assets/"
ASSET_CACHE = "public, max-age=31536000, immutable"
OTHER_CACHE = "no-cache"
NOT_PAGES = ("api/", "v1/", ASSETS)

NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Watchkeeper</title>
<h1>Watchkeeper runs, but its page was not built</h1>
<p>The API works: see <a href="/openapi.json">/openapi.json</a>. To build the page, run in the source folder:</p>
<pre>make page</pre>
<p>An installed package holds the page already; please report this if you see it there.</p></html>
"""


def page_router(folder: Path = STATIC_FOLDER) -> APIRouter:
    """Make the router; it is to be added last, for it answers every path that no other route does."""
    files = StaticFiles(directory=folder, check_dir=False)
    router = APIRouter()

    async def page(request: Request, path: str) -> Response:
        response = await _file(files, folder, path, request)
        if response is None and _is_page(request, path):
            response = await _file(files, folder, INDEX, request) or HTMLResponse(
                NOT_BUILT, headers={"Cache-Control": "no-store"}
            )
        if response is None and is_api_path(request.url.path):
            raise HTTPException(405)
        if response is None:
            raise NotFound(f"there is nothing at {request.url.path[:200]!r}; /openapi.json lists what there is")
        return response

    router.add_api_route(PAGE_PATH, page, methods=["GET", "HEAD"], include_in_schema=False)
    return router


async def _file(files: StaticFiles, folder: Path, path: str, request: Request) -> Response | None:
    """Give a file of the folder, or None; hidden files are not given."""
    if not path or "\0" in path or any(part.startswith(".") for part in path.split("/")):
        return None
    try:
        found = (folder / path).resolve(strict=True)
    except (OSError, ValueError):
        return None
    if not found.is_file() or not found.is_relative_to(folder.resolve()):
        return None
    response = files.file_response(found, found.stat(), request.scope)
    response.headers["Cache-Control"] = ASSET_CACHE if path.startswith(ASSETS) else OTHER_CACHE
    return response


def _is_page(request: Request, path: str) -> bool:
    """Tell whether a path that is no file is an address of the page: asked for by a browser, and not of the API."""
    if not path or path == INDEX:
        return True
    return "text/html" in request.headers.get("accept", "") and not path.startswith(NOT_PAGES)
