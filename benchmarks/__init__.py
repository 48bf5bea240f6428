"""Measures this reader beside other tools: times, memory, and what is read right."""
