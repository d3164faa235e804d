"""Videos."""

import av
import numpy as np

from .packing import folder_of_its_own


def video(suffix: str, codec: str = "libx264", b_frames: int = 0) -> bytes:
    """Six pictures of 64 × 48 in a container, the same bytes each time."""
    with folder_of_its_own() as folder:
        path = folder / f"clip{suffix}"
        options = {"fflags": "+bitexact", **({"movflags": "faststart"} if suffix in (".mp4", ".mov") else {})}
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.max_b_frames = b_frames
            for number in range(6):
                picture = np.full((48, 64, 3), 40 * number, np.uint8)
                picture[8 + number : 20 + number, 20:40] = (255, 30, 9)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path.read_bytes()
