"""The six services, a module each: what it sells, keeps or decides; all else is in web.py."""
