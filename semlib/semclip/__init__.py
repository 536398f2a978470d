"""SEM-CLIP: few-shot classification and segmentation of defects (arXiv 2502.14884, ICCAD 2024)."""
