"""See it: one episode of expert and learner from the same start, as a page that plays offline and as a GIF.

geometry.py  what a task looks like: shapes on links, and link poses from states
episode.py   both rollouts, with the poses, where the learner leaves the expert's states, its mistakes and its fall
camera.py    where the picture is taken from; projection in NumPy, for the GIF
html.py      one self-contained page: data, styles and a player of our own (player.js)
gif.py       the same side by side, drawn with Pillow
show.py      `ilbench render TASK POLICY`: all of it
"""
