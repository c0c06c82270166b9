"""What happened to a customer's data, said to the customer: short sentences, no technical words.

- `words`: what a language has to say, and which language a locale gets.
- `en`, `de`, `fr`, `es`: the languages. Every one has all texts; a test holds it.
- `telling`: puts an event into sentences.

What a purpose is, comes from the policy, which has texts of its own by locale.
"""
