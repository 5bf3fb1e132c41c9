"""What core brings along: plugins like any other, registered in code."""
