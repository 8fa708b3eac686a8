"""What each reference P_r is set by: its shape, whether it has labels, whether it is finite. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from madray.spec.base import OneOf, Positive, Settings, Size, refuse
from madray.spec.imported import Imported


class Reference(Settings):
    """What all references say of themselves."""

    implementation: ClassVar[str]
    finite: ClassVar[bool] = False
    """Whether draws come from a data set, without replacement within a draw."""
    from_data: ClassVar[bool] = False
    """Whether files of the user's must be read: by the driver alone, once, into the store."""


class Gaussian(Reference):
    """N(μ, Σ) in d dimensions; the standard normal where nothing else is said (the paper: d = 100)."""

    implementation: ClassVar[str] = "madray.references.analytic:GaussianReference"

    kind: Literal["gaussian"] = "gaussian"
    d: Size = Field(2, description="dimensions")
    mean: float | list[float] = Field(0.0, description="μ: one number for every dimension, or d numbers")
    covariance: float | list[float] | list[list[float]] = Field(
        1.0, description="Σ: one variance, d variances, or a d × d matrix"
    )

    @model_validator(mode="after")
    def _agrees_on_d(self) -> Gaussian:
        if isinstance(self.mean, list) and len(self.mean) != self.d:
            raise refuse(f"a mean of d = {self.d} numbers", f"{len(self.mean)} numbers")
        rows = self.covariance
        if isinstance(rows, float):
            if rows <= 0:
                raise refuse("a variance above 0", rows)
            return self
        if len(rows) != self.d or any(isinstance(row, list) and len(row) != self.d for row in rows):
            raise refuse(
                f"a covariance of {self.d} variances or {self.d} × {self.d} numbers", "another shape"
            )
        return self


class GMM25(Reference):
    """25 modes on a 5 × 5 grid in the plane. Spacing and width are ours (Che et al. 2020 use 2 and 0.05)."""

    implementation: ClassVar[str] = "madray.references.analytic:GMM25Reference"

    kind: Literal["gmm25"] = "gmm25"
    spacing: Positive = Field(2.0, description="distance between neighbouring modes")
    std: Positive = Field(0.05, description="standard deviation of a mode")


class Rosenbrock(Reference):
    """The density exp(−x₁²/2 − (x₂ − x₁²)²), normalised, in the plane (the paper's Figure 17)."""

    implementation: ClassVar[str] = "madray.references.analytic:RosenbrockReference"

    kind: Literal["rosenbrock"] = "rosenbrock"


class Digits(Reference):
    """The 1,797 real 8 × 8 images of handwritten digits that scikit-learn carries."""

    implementation: ClassVar[str] = "madray.references.digits:read_digits"
    finite: ClassVar[bool] = True

    kind: Literal["digits"] = "digits"


class _Torchvision(Reference):
    """A data set of torchvision's, under `--data` or MADRAY_DATA; downloaded only where `download` says so."""

    implementation: ClassVar[str] = "madray.references.torchvision:read_torchvision"
    finite: ClassVar[bool] = True
    from_data: ClassVar[bool] = True
    not_in_key: ClassVar[frozenset[str]] = frozenset({"download"})

    split: Literal["train", "test"] = Field(
        "train", description="which part of the data set is the reference"
    )
    download: bool = Field(False, description="fetch the data set where it is not in the data folder")


class MNIST(_Torchvision):
    """60,000 images of handwritten digits, 28 × 28 (LeCun et al. 1998)."""

    kind: Literal["mnist"] = "mnist"


class FashionMNIST(_Torchvision):
    """60,000 images of clothes, 28 × 28 (Xiao et al. 2017)."""

    kind: Literal["fashion_mnist"] = "fashion_mnist"


class CIFAR10(_Torchvision):
    """50,000 colour images of ten kinds of things, 32 × 32 (Krizhevsky 2009)."""

    kind: Literal["cifar10"] = "cifar10"


class Images(Reference):
    """Images in a folder or a zip, of any size, cropped to the middle square and resized on reading.

    Where every image lies in a folder of its own class (`cats/1.png`), the folders' names are the labels.
    """

    implementation: ClassVar[str] = "madray.references.images:read_images"
    finite: ClassVar[bool] = True
    from_data: ClassVar[bool] = True
    not_in_key: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["images"] = "images"
    path: str = Field(description="a folder or a zip; relative to the data folder where one is given")
    size: Size = Field(description="height and width after reading, in pixels")
    colour: bool = Field(True, description="three channels, or one (grey)")


class Parquet(Reference):
    """Rows of a Parquet file or of a folder of them: vectors (lists of numbers), or encoded images."""

    implementation: ClassVar[str] = "madray.references.parquet:read_parquet"
    finite: ClassVar[bool] = True
    from_data: ClassVar[bool] = True
    not_in_key: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["parquet"] = "parquet"
    path: str = Field(description="a file or a folder; relative to the data folder where one is given")
    values: str | None = Field(
        None,
        description="column of lists of numbers, or of images ({bytes, path} or bytes); the first such one without",
    )
    label: str | None = Field(None, description="column of integer labels; `label` where there is one")
    size: Size | None = Field(None, description="images: height and width after reading; as stored without")
    colour: bool = Field(True, description="images: three channels, or one (grey)")


class ImportedReference(Imported):
    """A reference of the user's own; `finite` and `from_data` are False: it makes its samples by itself."""

    @property
    def finite(self) -> bool:
        return False

    @property
    def from_data(self) -> bool:
        return False


FAMILIES: tuple[type[Reference], ...] = (
    Gaussian,
    GMM25,
    Rosenbrock,
    Digits,
    MNIST,
    FashionMNIST,
    CIFAR10,
    Images,
    Parquet,
)

ReferenceSettings = Annotated[Any, OneOf("reference", FAMILIES, ImportedReference)]
AnyReference = Reference | ImportedReference
