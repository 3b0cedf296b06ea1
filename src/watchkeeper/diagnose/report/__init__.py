"""A root-cause report in Markdown and HTML, each claim about a cause with the evidence that it rests on."""
