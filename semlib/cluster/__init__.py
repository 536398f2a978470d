"""Images by the million: the functions of the notebooks on Dask, chunk by chunk; k-means and views of the result."""
