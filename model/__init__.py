"""What must be true: the executable formal model of site recovery, its promises, and the engines that prove them."""
