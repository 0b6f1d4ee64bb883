"""One hub and two clients that lose power at any moment, and a witness that remembers what they said before."""
