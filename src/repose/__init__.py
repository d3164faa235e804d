"""RePOSE: 3D human poses from monocular video that stay right where joints are hidden."""
