"""Calibrations of one lens."""

FILES = {
    "opencv": """%YAML:1.0
---
image_width: 1280
image_height: 720
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 1100., 0., 640.5, 0., 1050., 361., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ -0.25, 0.12, 0.004, -0.003, -0.02 ]
""",
    "json": '{"size": [1280, 720], "K": [[1100, 0, 640.5], [0, 1050, 361], [0, 0, 1]], "dist": [[-0.2]]}',
    "pose2sim": """[cam_01]
name = "int_cam1_img"
size = [ 1280.0, 720.0]
matrix = [ [ 1100.0, 0.0, 640.5], [ 0.0, 1050.0, 361.0], [ 0.0, 0.0, 1.0]]
distortions = [ -0.25, 0.12, 0.004, -0.003]
fisheye = false
""",
    "colmap": "1 OPENCV 1280 720 1100 1050 641 361.5 -0.25 0.12 0.004 -0.003\n",
}


def file(kind: str) -> bytes:
    return FILES[kind].encode()
