"""`subnet demo`: a whole subnet on one machine, every part its own process, judged at the end."""
