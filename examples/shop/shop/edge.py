"""The programs that the shop uses where they are installed: nginx in front, Redis behind the cart.

Both run in the foreground as the user who starts the shop, with every file of theirs in the shop's folder. Gives
configurations and command lines; starts nothing.
"""

from __future__ import annotations

from shop.layout import LOOPBACK, Layout

_NGINX = """\
# Written by the shop at its start. A single process in the foreground, so that it needs no root and leaves nothing.
daemon off;
master_process off;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log" warn;
events {{ worker_connections 512; }}
http {{
  log_format shop escape=json '{{"time":"$msec","method":"$request_method","uri":"$request_uri","status":"$status",'
    '"bytes":"$bytes_sent","seconds":"$request_time","agent":"$http_user_agent","trace":"$upstream_http_traceresponse"}}';
  access_log "{folder}/access.json" shop;
  client_body_temp_path "{folder}/body";
  proxy_temp_path "{folder}/proxy";
  fastcgi_temp_path "{folder}/fastcgi";
  uwsgi_temp_path "{folder}/uwsgi";
  scgi_temp_path "{folder}/scgi";
  server_tokens off;
  upstream frontend {{ server {frontend} max_fails=0; keepalive 16; }}
  server {{
    listen {listen};
    location /_control/ {{ return 404; }}
    location = /_nginx {{ access_log off; stub_status; }}
    location / {{
      proxy_pass http://frontend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 2s;
      proxy_read_timeout 15s;
    }}
  }}
}}
"""


def nginx_command(layout: Layout) -> list[str]:
    """Write nginx's configuration and give its command line."""
    assert layout.nginx is not None
    folder = layout.folder / "nginx"
    folder.mkdir(exist_ok=True)
    for old in ("access.json", "error.log"):
        (folder / old).unlink(missing_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _NGINX.format(
            folder=folder,
            frontend=f"{LOOPBACK}:{layout.ports['frontend']}",
            listen=f"{LOOPBACK}:{layout.nginx_port}",
        ),
        encoding="utf-8",
    )
    return [layout.nginx, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]


def redis_command(layout: Layout) -> list[str]:
    """Give Redis's command line: in memory only, loopback only, bounded."""
    assert layout.redis is not None
    folder = layout.folder / "redis"
    folder.mkdir(exist_ok=True)
    (folder / "redis.log").unlink(missing_ok=True)
    return [layout.redis, "--bind", LOOPBACK, "--port", str(layout.redis_port), "--dir", str(folder), "--save", "",
            "--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--daemonize", "no",
            "--logfile", str(folder / "redis.log")]  # fmt: skip
