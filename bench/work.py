"""What scripts do: dictionaries, strings, sorting, objects, big numbers."""


class Account:
    def __init__(self, name):
        self.name = name
        self.balance = 0

    def move(self, amount):
        self.balance = (self.balance * 31 + amount) % 1_000_003
        return self.balance


def words(count):
    state = 88172645463325252
    for _ in range(count):
        state ^= (state << 13) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 7
        state ^= (state << 17) & 0xFFFFFFFFFFFFFFFF
        yield "w%d" % (state % 5000)


def main():
    counts, accounts, total = {}, {}, 0
    for place, word in enumerate(words(40_000)):
        counts[word] = counts.get(word, 0) + 1
        account = accounts.get(word)
        if account is None:
            account = accounts[word] = Account(word)
        total += account.move(place)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    text = ",".join("%s=%d" % pair for pair in ranked)
    pieces = [piece.split("=") for piece in text.split(",")]
    total += sum(len(name) * int(count) for name, count in pieces)
    total += sum(value * value % 7 for value in range(100_000))
    grid = [[row * column % 17 for column in range(150)] for row in range(150)]
    total += sum(sum(row) for row in zip(*grid))
    a, b = 0, 1
    for _ in range(6_000):
        a, b = b, a + b
    print(total, len(text), a % 1_000_000_007)


main()
