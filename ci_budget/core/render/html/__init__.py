"""Reports as one self-contained HTML page: no network, readable without scripts, dark and light."""
