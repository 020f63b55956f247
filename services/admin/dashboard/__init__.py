"""A small page that shows the deployment: plain files, no build step, no third party."""
