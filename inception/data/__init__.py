"""Images to device batches: data sets, host pipeline, device augmentation."""
