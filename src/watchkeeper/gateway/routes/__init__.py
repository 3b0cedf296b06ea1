"""The routes of the API, one file a topic; each reads its request, asks one room, and gives the answer its shape."""
