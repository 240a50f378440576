"""What exercises that read a figure are given where no notebook has run: values as it has them."""

STAND_INS = {
    "00_quickstart": {"clean": [0.11, 0.17, 0.3, 0.52], "poisoned": [0.4, 0.86, 1.0, 0.99]},
    "03_entropy_filtering": {
        "agreed": {
            "BadNets": [0.33, 0.66, 0.95, 1.0, 1.0],
            "Blended": [0.2, 0.4, 0.55, 0.8, 0.92],
            "SIG": [0.3, 0.5, 0.7, 0.6, 0.5],
        },
        "purity": {
            "BadNets": [0.4, 1.0, 0.98, 1.0, 1.0],
            "Blended": [0.0, 0.0, 0.02, 0.0, 0.07],
            "SIG": [0.1, 0.3, 1.0, 1.0, 0.2],
        },
        "threshold": 0.9,
    },
}
