"""Running the numbered notebooks in order, and what a run tells: what stands beyond papermill."""
