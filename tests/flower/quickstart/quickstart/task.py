"""Model, data and training of the app."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """A small network with BatchNorm for 8x8 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 64)
        self.norm = nn.BatchNorm1d(64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch."""
        return self.fc2(torch.relu(self.norm(self.fc1(x))))


def load_data(partition_id: int, num_partitions: int, batch_size: int):
    """Return the training and the test loader of a partition."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
    share = torch.arange(partition_id, len(x), num_partitions)
    cut = int(0.8 * len(share))
    train, test = share[:cut], share[cut:]
    generator = torch.Generator().manual_seed(partition_id)
    return (
        DataLoader(TensorDataset(x[train], y[train]), batch_size, True, generator=generator),
        DataLoader(TensorDataset(x[test], y[test]), batch_size),
    )


def train(net: nn.Module, trainloader: DataLoader, epochs: int, lr: float) -> float:
    """Train a network; return its mean loss."""
    net.train()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    total = 0.0
    for _ in range(epochs):
        for x, y in trainloader:
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
    return total / (epochs * len(trainloader))


def test(net: nn.Module, testloader: DataLoader) -> tuple[float, float]:
    """Return loss and accuracy of a network."""
    net.eval()
    criterion = nn.CrossEntropyLoss()
    loss, correct, seen = 0.0, 0, 0
    with torch.no_grad():
        for x, y in testloader:
            logits = net(x)
            loss += criterion(logits, y).item()
            correct += int((logits.argmax(1) == y).sum())
            seen += len(y)
    return loss / len(testloader), correct / seen
