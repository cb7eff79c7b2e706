"""What is waiting: entries, buckets, pools. Pure: arrival numbers and base fees come in as arguments."""
