"""Many runs: the grid or the search, and the engines that start them."""
